import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import '../src/react/usage-dashboard.css';
import './page.css';
import { Page } from './Page.js';

createRoot(document.getElementById('page')!).render(<StrictMode><Page /></StrictMode>);
